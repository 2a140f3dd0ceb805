"""Transfer learning in PyTorch: what a pretrained network sees, a new head, fine-tuning."""
