"""The public way in: a load balancer with one listener."""

from typing import cast

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as route53_targets
from aws_cdk import aws_s3 as s3
from constructs import Construct, IDependable

from constructs_lib.errors import PropError

HTTP_PORT = 80
HTTPS_PORT = 443


_MOST_DAYS_HIDDEN = 30  # of an access log: time to notice that one was overwritten


class WebEntry(Construct):
    """An application load balancer in the public subnets, serving HTTPS only or, without a certificate, HTTP only."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection,
        security_group: ec2.ISecurityGroup,
        target: elbv2.IApplicationLoadBalancerTarget,
        access_log_days: int,
        access_log_deletion_role: str | None = None,
        target_group_name: str | None = None,
        certificate_arn: str | None = None,
        domain_name: str | None = None,
        hosted_zone_id: str | None = None,
        deletion_protection: bool = True,
    ) -> None:
        """
        :param vpc: the network of the load balancer
        :param vpc_subnets: its subnets, public ones in two zones at least
        :param security_group: decides which addresses reach the listener
        :param target: what serves the requests
        :param access_log_days: days an access log is kept, two at least. For the last of them, up to 30, it is a
            noncurrent version, as is one that was overwritten
        :param access_log_deletion_role: name of the only role that may delete one before. Default: nobody. Whoever may
            change the bucket's policy (s3:PutBucketPolicy) or lifecycle (s3:PutLifecycleConfiguration), or make or
            assume a role with that name, can still lose them: keep those rights to administrators
        :param target_group_name: unique in account and region, up to 32 letters, digits and hyphens. With it, the
            Lambda permission of a `LambdaService` names this target group. Default: CloudFormation makes one up, and
            every target group of the account may invoke the function
        :param certificate_arn: certificate of the HTTPS listener. Default: one is made for `domain_name`; without
            either the listener is plain HTTP, so let `security_group` admit few
        :param domain_name: a name to make a certificate and a DNS record for. Default: none; without `certificate_arn`
            or this there is no HTTPS
        :param hosted_zone_id: the Route 53 zone of `domain_name`. Default: none; needed with `domain_name`
        :param deletion_protection: refuse deletion. Default: True
        :raises PropError: for a domain name without its zone, or a zone without a name
        """
        super().__init__(scope, construct_id)
        if (domain_name is None) != (hosted_zone_id is None):
            raise PropError(
                f"domain_name and hosted_zone_id must be given together, got: {domain_name} and {hosted_zone_id}"
            )
        self.load_balancer = elbv2.ApplicationLoadBalancer(
            self,
            "Resource",
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            security_group=security_group,
            internet_facing=True,
            drop_invalid_header_fields=True,
            desync_mitigation_mode=elbv2.DesyncMitigationMode.DEFENSIVE,
            deletion_protection=deletion_protection,
        )
        self._log_access(access_log_days, access_log_deletion_role)
        certificate = None
        host = self.load_balancer.load_balancer_dns_name
        if certificate_arn:
            certificate = acm.Certificate.from_certificate_arn(self, "Certificate", certificate_arn)
        elif domain_name and hosted_zone_id:
            certificate = self._own_name(domain_name, hosted_zone_id)
            host = domain_name
        listener = self.load_balancer.add_listener(
            "Listener",
            port=HTTPS_PORT if certificate else HTTP_PORT,
            protocol=elbv2.ApplicationProtocol.HTTPS if certificate else elbv2.ApplicationProtocol.HTTP,
            certificates=[certificate] if certificate else None,
            # TLS 1.3 and 1.2 without CBC ciphers: the newest policy that Security Hub's ELB.17 allows.
            ssl_policy=elbv2.SslPolicy.TLS13_12_RES_PQ if certificate else None,
            open=False,
        )
        # Nobody needs to know what kind of load balancer answers; the L2 has no prop for it.
        resource = cast(elbv2.CfnListener, listener.node.default_child)
        resource.listener_attributes = [
            elbv2.CfnListener.ListenerAttributeProperty(key="routing.http.response.server.enabled", value="false")
        ]
        listener.add_targets("App", targets=[target], target_group_name=target_group_name)
        self.url = f"{'https' if certificate else 'http'}://{host}"

    def _own_name(self, domain_name: str, hosted_zone_id: str) -> acm.Certificate:
        # CDK wants the zone's name only to complete relative record names, and this one ends with a dot.
        zone = route53.HostedZone.from_hosted_zone_attributes(
            self, "Zone", hosted_zone_id=hosted_zone_id, zone_name=domain_name
        )
        route53.ARecord(
            self,
            "Alias",
            zone=zone,
            record_name=f"{domain_name}.",
            target=route53.RecordTarget.from_alias(route53_targets.LoadBalancerTarget(self.load_balancer)),
        )
        return acm.Certificate(
            self, "Certificate", domain_name=domain_name, validation=acm.CertificateValidation.from_dns(zone)
        )

    def _log_access(self, days: int, deletion_role: str | None) -> None:
        hidden = min(_MOST_DAYS_HIDDEN, days // 2)
        bucket = s3.Bucket(
            self,
            "AccessLogs",
            encryption=s3.BucketEncryption.S3_MANAGED,  # load balancers cannot write to a bucket with a KMS key
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            versioned=True,  # whoever may overwrite a log cannot thereby remove it
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=Duration.days(days - hidden), noncurrent_version_expiration=Duration.days(hidden)
                )
            ],
            # CloudFormation cannot delete a bucket with logs in it; the logs expire by themselves.
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        # This principal serves every region, so the stack need not know its own (ELB User Guide, access log bucket).
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com")],
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects(f"AWSLogs/{Stack.of(self).account}/*")],
                # The ARN carries the account. Without the right to write here the load balancer is not created.
                conditions={
                    "ArnLike": {
                        "aws:SourceArn": Stack.of(self).format_arn(
                            service="elasticloadbalancing", resource="loadbalancer", resource_name="*"
                        )
                    }
                },
            )
        )
        bucket.add_to_resource_policy(_no_deletion(bucket, deletion_role))
        self.load_balancer.set_attribute("access_logs.s3.enabled", "true")
        self.load_balancer.set_attribute("access_logs.s3.bucket", bucket.bucket_name)
        # Creating the load balancer writes a test object, which the policy must already allow.
        self.load_balancer.node.add_dependency(cast(IDependable, bucket.policy))


def _no_deletion(bucket: s3.Bucket, but_role: str | None) -> iam.PolicyStatement:
    # Expiration is no request, so no policy is asked.
    # A role may have a path: those of IAM Identity Center have one.
    roles = [
        Stack.of(bucket).format_arn(service="iam", region="", resource="role", resource_name=name)
        for name in (but_role, f"*/{but_role}")
    ]
    return iam.PolicyStatement(
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=["s3:DeleteObject", "s3:DeleteObjectVersion"],
        resources=[bucket.arn_for_objects("*")],
        conditions={"ArnNotLike": {"aws:PrincipalArn": roles}} if but_role else None,
    )
