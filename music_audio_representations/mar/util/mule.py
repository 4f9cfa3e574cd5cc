"""The weights that the paper's authors published: where, what tells them, under what licence."""

MULE_COMMIT = "f90a47216d7bd5297843abe541c34c7f789fcf20"
MULE_ADDRESS = (
    "https://media.githubusercontent.com/media/PandoraMedia/music-audio-representations/"
    f"{MULE_COMMIT}/supporting_data/model/model.keras"
)
MULE_SHA256 = "1da111d619bac0d422e41f153cbfb903f7ec3c5d3b2768f5d68f04452ed18180"
# The weights of the earlier release v1.1.1, a SavedModel: of its variables.data-00000-of-00001.
MULE_SAVED_MODEL_SHA256 = "acd581712ce749a9a96a2284b1a7034a21fd5314b35fd21fa5e467b5aefeaf1e"
MULE_LICENCE = """\
The MULE weights are licensed CC BY-NC 4.0 (https://creativecommons.org/licenses/by-nc/4.0/):
attribution to their authors (McCallum et al., ISMIR 2022), no commercial use."""
