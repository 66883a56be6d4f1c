"""What tasks train: data, network, loss and figures, as the loop wants them. They import torch, tasks do not."""
