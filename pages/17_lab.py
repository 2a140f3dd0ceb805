"""Lab, cats vs dogs: from a pile of photos to a model in one's pocket, each step checked."""

from playground.ui.studio import lab

lab.progress()
photos = lab.look()
epochs = lab.from_scratch(photos)
lab.transferred(photos, epochs)
lab.compare(photos, epochs)
lab.take_along(photos, epochs)
lab.finish(photos, epochs)
