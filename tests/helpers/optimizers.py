"""Keras's own optimizers, with which ours are compared."""


def keras_adam(settings):
    """The `keras.optimizers.Adam` of a `ScoochAdam`, with which ours is compared."""
    import keras

    rate = settings.learning_rate if settings.schedule is None else settings.schedule.build()
    numbers = {name: getattr(settings, name) for name in ("beta_1", "beta_2", "epsilon")}
    return keras.optimizers.Adam(rate, amsgrad=settings.amsgrad, **numbers)
