"""The storefront: the app that the stacks deploy. http -> services -> repositories, and services -> cache_aside."""
