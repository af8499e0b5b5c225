"""Proposes: search spaces, the study loop and the executors. No Keras below this folder.

Called, it is :func:`pipeline.api.search`.
"""

from pipeline.callable_module import make_callable

make_callable(__name__)
