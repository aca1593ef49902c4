"""Who may do what: roles whose rights can be reviewed, and access to secrets."""
