"""The ImageNet challenge: a network that knows a thousand classes, on a photo of one's own."""

from playground.ui import imagenet

imagenet.question()
asked = imagenet.network()
if asked:
    imagenet.judge(asked)
    imagenet.predict(asked)
    imagenet.classes(asked)
imagenet.history()
imagenet.in_code()
