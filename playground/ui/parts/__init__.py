"""What several pages share: the player, charts, graphs, the camera, editors, the choice of a picture."""
