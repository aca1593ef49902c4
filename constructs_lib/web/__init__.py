"""The public way in: load balancer and firewall."""
