"""Convolution: one sum of products, stepped, on a picture of one's own."""

from playground.ui import convolution, convolution_passes, lesson

convolution.formula()
setting = lesson.figure_first(convolution.Controls(), convolution_passes.passes, below=(convolution.sizes,),
                              question=convolution.predict, beside=2.7)
convolution.whole_picture(setting)
convolution.in_code(setting)
