"""A Secrets Manager on loopback that the real boto3 talks to."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FakeSecretsManager:
    """Answers GetSecretValue from `secrets`, by ARN, and counts how often each was read."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.reads: list[str] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                arn = request["SecretId"]
                fake.reads.append(arn)
                found = arn in fake.secrets
                answer = (
                    {"ARN": arn, "SecretString": fake.secrets[arn]} if found else {"__type": "AccessDeniedException"}
                )
                body = json.dumps(answer).encode()
                self.send_response(200 if found else 400)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Silence."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
