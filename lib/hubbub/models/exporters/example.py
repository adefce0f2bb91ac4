"""Label a WAV with onnxruntime and NumPy alone: python example.py clip.wav (mono, 16 bits, at the model's rate)."""

import sys
import wave
from pathlib import Path

import numpy as np
import onnxruntime


def read_wav(path: str, rate: int) -> np.ndarray:
    """Read a WAV as float32 [sample], full scale 1."""
    with wave.open(path) as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, rate):
            sys.exit(f"{path} has {file.getparams()}; expected one channel of 16 bits at {rate} Hz")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / np.float32(2**15)


def log_mel(samples: np.ndarray, c: dict) -> np.ndarray:
    """Compute decibels in mel bands, float32 [frame, band], with the constants of log-mel.npz."""
    padded = np.pad(samples, c["n_fft"] // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, c["n_fft"])[:: c["hop_samples"]]
    power = np.abs(np.fft.rfft(frames * c["window"])) ** 2 @ c["mel"].T
    decibels = 10 * np.log10(np.maximum(power, c["amin"]) / max(c["amin"], c["ref"] or power.max()))
    return np.maximum(decibels, decibels.max() - c["top_db"]).astype(str(c["dtype"])).astype(np.float32)


def main(path: str) -> None:
    """Print the scores of each window, or of each frame where the network scores frames."""
    folder = Path(__file__).resolve().parent
    with np.load(folder / "log-mel.npz") as held:
        c = {name: held[name][()] for name in held}
    network = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    samples = read_wav(path, c["sample_rate"])
    size = c["size"] or len(samples)
    print("seconds", *(folder / "labels.txt").read_text(encoding="utf-8").splitlines(), sep="\t")
    for begin in range(0, max(1, len(samples) - size + c["step"] - c["tail"] + 1), c["step"]):
        window = samples[begin : begin + size]
        features = log_mel(np.pad(window, (c["halo"], c["halo"] + -len(window) % c["unit"])), c)
        features = features[: len(features) // c["frames"] * c["frames"]]
        scores = np.atleast_2d(network.run(None, {"features": features[None]})[0][0])[c["halo"] // c["frame"] :]
        for number, row in enumerate(scores[: -(-len(window) // c["frame"])]):
            print(
                f"{(begin + number * c['frame']) / c['sample_rate']:.3f}", *(f"{score:.4f}" for score in row), sep="\t"
            )


if __name__ == "__main__":
    main(sys.argv[1])
