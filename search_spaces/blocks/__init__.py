"""Parts of networks as specs: what they take, what they give, and how they are built."""
