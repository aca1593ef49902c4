"""Lambda functions inside the VPC, and the code that they run."""
