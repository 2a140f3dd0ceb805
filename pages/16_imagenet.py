"""The ImageNet challenge: a network that knows a thousand classes, on a photo of one's own."""

from playground.ui.lessons import imagenet
from playground.ui.parts import lesson

imagenet.question()
asked = lesson.figure_first(imagenet.network)
if asked:
    imagenet.judge(asked)
    imagenet.examples(asked)
    imagenet.predict(asked)
    imagenet.classes(asked)
imagenet.history()
imagenet.published()
imagenet.in_code()
