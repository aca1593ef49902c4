"""What IAM decides: the calls of functions and services, run through a simulator over the synthesized policies."""
