# Issue.
path "database/creds/app-migrate" {
  capabilities = ["read"]
}

# Revoke, now (sync) rather than in a queue; look up; shorten and renew. This profile's leases alone.
path "sys/leases/revoke" {
  capabilities = ["update"]
  allowed_parameters = {
    "lease_id" = ["database/creds/app-migrate/*"]
    "sync" = []
  }
}
path "sys/leases/lookup" {
  capabilities = ["update"]
  allowed_parameters = {
    "lease_id" = ["database/creds/app-migrate/*"]
  }
}
path "sys/leases/renew" {
  capabilities = ["update"]
  allowed_parameters = {
    "lease_id" = ["database/creds/app-migrate/*"]
    "increment" = []
  }
}

# The token itself; and by its accessor that of a step that was killed between asking and recording.
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-accessor" {
  capabilities = ["update"]
}

# See what the token may do, so that `stepcreds scope` finds whether it is more than this.
path "sys/capabilities-self" {
  capabilities = ["update"]
}
