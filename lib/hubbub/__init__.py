"""hubbub: recordings in, spectrogram stores, trained models and event tables out."""

__version__ = "0.1.0"
