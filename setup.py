"""keras_vad: what it needs. Exact versions live in constraints.txt, which the Makefile and CI install from."""

from setuptools import find_packages, setup

setup(
    name="keras_vad",
    version="0.1.0",
    description="A model zoo for video anomaly detection on TensorFlow and Keras",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["keras_vad", "keras_vad.*", "serving"]),
    package_data={
        "keras_vad": ["recipes/*.yaml", "ablations/*.yaml", "report/page.*", "report/scripts/*.js", "py.typed"]
    },
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "keras>=3.15,<3.16",
        "numpy>=2.1",
        "scipy>=1.13",
        "scikit-learn>=1.5",
        "grpcio>=1.85",
        "grpcio-health-checking>=1.85",
        "grpcio-reflection>=1.85",
        "prometheus-client>=0.20",
        "protobuf>=7.35",
        "tensorflow-serving-api>=2.21,<2.22",
        "av>=14",
        "pillow>=11",
        "opencv-python-headless>=4.10,<5",
        "h5py>=3.11",
        "pyyaml>=6",
        "rich>=13",
        "matplotlib>=3.9",
        "jinja2>=3.1",
        "tensorboard>=2.20",
        "pooch>=1.8",
        "requests>=2.32",
        "urllib3>=2.6",
    ],
    extras_require={
        "objects": ["fsspec>=2025.2"],
        "dev": [
            "fsspec>=2025.2",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6",
            "playwright>=1.50",
            "ruff>=0.15",
            "mypy>=1.15",
            "mkdocs-material>=9.6",
            "mkdocstrings[python]>=1.0",
            "types-PyYAML",
            "deno>=2.9",
        ],
    },
)
