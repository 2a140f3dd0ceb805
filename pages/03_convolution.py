"""Convolution: one sum of products, stepped, on a picture of one's own."""

from playground.ui.lessons import convolution, convolution_passes, locality
from playground.ui.parts import lesson

convolution.formula()
controls = convolution.Controls()
setting = lesson.figure_first(controls, convolution_passes.passes, head=controls.passes, below=(convolution.sizes,),
                              question=convolution.predict, beside=2.7)
convolution.whole_picture(setting)
locality.small_windows()
convolution.in_code(setting)
