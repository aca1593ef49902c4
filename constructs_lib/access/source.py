"""In whose name an AWS service acts: conditions against the confused deputy."""

from aws_cdk import Aws


def from_this_account(arn: str, *, if_known: bool = False) -> dict[str, dict[str, str]]:
    """Conditions of a policy that admits a service: it acts for a resource of this account with such an ARN.

    :param arn: of the resource in whose name it acts; ``*`` stands for a part of it
    :param if_known: hold only where the service says for whom it acts. Default: False, it must say so
    """
    suffix = "IfExists" if if_known else ""
    return {
        f"StringEquals{suffix}": {"aws:SourceAccount": Aws.ACCOUNT_ID},
        f"ArnLike{suffix}": {"aws:SourceArn": arn},
    }
