"""The methods: one module each, the contract they meet and the registry."""
