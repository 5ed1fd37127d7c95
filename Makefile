# Two commands do everything on a fresh machine:
#   make demo   install what is missing, build, speak a sentence into out/demo.wav
#   make test   install what is missing, build, run every test
# make install (PREFIX, DESTDIR) puts the program, the library and the voice in place.
# The build itself is CMake's (CMakePresets.json); this file only strings the steps together.

BUILD    := build
ASAN     := build-asan
TSAN     := build-tsan
SUDO     := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)
PYTHON   ?= $(shell for p in /usr/bin/python3 python3; do $$p -c 'import numpy' 2>/dev/null && echo $$p && break; done)
PYTHON   := $(or $(PYTHON),/usr/bin/python3)

PACKAGES      := gcc g++ cmake ninja-build pkg-config libsndfile1-dev libyaml-dev \
                 libpng-dev libjansson-dev libicu-dev libavformat-dev libevent-dev node-llhttp libwslay-dev \
                 libcurl4-gnutls-dev nettle-dev libespeak-ng-dev
DEMO_PACKAGES := python3 python3-numpy
# PyTorch multiplies by whatever BLAS it finds: with the reference BLAS the tests take several times as long
TEST_PACKAGES := python3 python3-numpy libcmocka-dev libopenblas0-pthread python3-torch python3-pytest python3-venv python3-yaml \
                 libflite1 pocketsphinx pocketsphinx-en-us clang-format git valgrind qemu-user ffmpeg man-db groff-base \
                 locales zsh fish abigail-tools

DEB_PACKAGES  := debhelper dpkg-dev fakeroot

# The demo speaks with the voice that comes with the program. DEMO_ARCH=demo, or F5TTS_v1_Base, takes a model of that
# size with random weights instead: what you hear then is noise in the shape of speech.
DEMO_TEXT  ?= The quick brown fox jumps over the lazy dog, and the children are playing in the garden.
DEMO_VOICE ?= heart
DEMO_NFE   ?=
DEMO_ARCH  ?=
DEMO_MODEL := $(DEMO_ARCH:%=out/%.f5)
PREFIX     ?= /usr/local

# For all builds, as -DF5_WERROR=ON, which CI says.
CMAKE_FLAGS ?=

.PHONY: demo test test-c test-python test-asan-files lint build build-asan build-tsan install wheel wheel-test soak gpu-test triton-test abi deb \
        sanitize profile bench clean format demo-packages test-packages

demo: demo-packages build $(DEMO_MODEL)
	@echo
	$(BUILD)/bin/f5tts infer $(DEMO_MODEL:%=--model %) --voice $(DEMO_VOICE) \
	    --gen_text "$(DEMO_TEXT)" $(DEMO_NFE:%=--nfe_step %) --seed 1 --output_dir out --output_file demo.wav --spectrogram out/demo.png

out/%.f5: weights/random_checkpoint.py | build
	@mkdir -p out
	$(PYTHON) weights/random_checkpoint.py --arch $* --seed 1 out/$*
	$(BUILD)/bin/f5tts convert --config out/$*/model.yaml --checkpoint out/$*/model.safetensors \
	    --vocab out/$*/vocab.txt --vocos-config out/$*/vocos/config.yaml --vocos out/$*/vocos/pytorch_model.bin \
	    --output $@

BUILDS = F5_BUILD=$(CURDIR)/$(BUILD) F5_ASAN_BUILD=$(CURDIR)/$(ASAN) F5_TSAN_BUILD=$(CURDIR)/$(TSAN)

# Parts of it: tests/run_tests.py --help. Or by hand, one after the other: make test-c test-python.
test: test-packages build build-asan build-tsan
	$(BUILDS) $(PYTHON) tests/run_tests.py

test-c:
	ctest --test-dir $(BUILD) --output-on-failure
	ctest --test-dir $(ASAN) --output-on-failure
	ctest --test-dir $(TSAN) --output-on-failure

test-python:
	$(BUILDS) $(PYTHON) -m pytest -q -rs -p no:cacheprovider tests

# What a program can check of this tree's rules: includes, layout, lengths, words. `make test` checks them too.
lint:
	$(PYTHON) tests/house.py

build:
	@cmake --preset release $(CMAKE_FLAGS) -Wno-dev > $(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@cmake --build --preset release

build-asan:
	@cmake --preset asan $(CMAKE_FLAGS) -Wno-dev > $(ASAN).log 2>&1 || { cat $(ASAN).log; exit 1; }
	@cmake --build --preset asan

build-tsan:
	@cmake --preset tsan $(CMAKE_FLAGS) -Wno-dev > $(TSAN).log 2>&1 || { cat $(TSAN).log; exit 1; }
	@cmake --build --preset tsan

# Recordings, outputs, names and messages on the sanitized program. Where the tests load a library themselves the sanitizer
# comes first; it cannot come before the shells that other tests start, whose leaks it would count.
test-asan-files: build-asan
	F5_BUILD=$(CURDIR)/$(ASAN) F5_ASAN_BUILD=$(CURDIR)/$(ASAN) $(PYTHON) -m pytest -q -rs -p no:cacheprovider tests/hub \
	    $(addprefix tests/test_,$(addsuffix .py,recordings transcribe help batch))
	F5_BUILD=$(CURDIR)/$(ASAN) F5_ASAN_BUILD=$(CURDIR)/$(ASAN) ASAN_OPTIONS=detect_leaks=0 \
	    LD_PRELOAD="$$(gcc -print-file-name=libasan.so)" $(PYTHON) -m pytest -q -rs -p no:cacheprovider \
	    tests/test_recording_files.py tests/test_outputs.py tests/test_convert_wild.py \
	    tests/test_messages.py

# The server among clients that are slow, leave, flood and err, for half an hour: tests/server/torture.py --help
soak: build
	F5_BUILD=$(CURDIR)/$(BUILD) $(PYTHON) tests/server/torture.py

install: build
	DESTDIR="$(DESTDIR)" cmake --install $(BUILD) --prefix "$(PREFIX)"

# The Python package, into out/: CPU or CUDA, as the build is (CMAKE_FLAGS=-DF5_CUDA=ON).
wheel: build
	$(PYTHON) host/python/backend.py --build $(BUILD) --output out

# It in fresh environments of every Python from 3.9 on that is here, with PyPI's numpy; mypy; twice the same bytes.
wheel-test: wheel
	$(PYTHON) tests/python/matrix.py out

# On a machine with an NVIDIA GPU: builds for it and runs the tests that need one.
gpu-test:
	PYTHON="$(PYTHON)" bash tests/gpu/run.sh

# After make gpu-test has built: compute-sanitizer over a short synthesis and every 100th test of the ops.
sanitize:
	PYTHON="$(PYTHON)" bash tests/gpu/sanitize.sh

# Can programs that were built with the library of an older commit, BASE, or of the last tag, use that of the last commit?
abi:
	$(call install_packages,$(PACKAGES) abigail-tools)
	$(PYTHON) deploy/check_abi.py $(BASE)

# Debian packages of the last commit, for the CPU, into out/deb.
deb:
	$(call install_packages,$(PACKAGES) $(DEB_PACKAGES))
	bash deploy/make_deb.sh

# The backend of Triton Inference Server under the real one, which comes from PyPI (55 MB) into the build folder, and again
# with the sanitizer. make triton-test UPSTREAM=folder: with upstream's client_http.py and client_grpc.py, which lie there.
triton-test: build build-asan
	F5_BUILD=$(CURDIR)/$(BUILD) $(PYTHON) tests/triton_server/check_server.py $(UPSTREAM:%=--upstream %)
	F5_BUILD=$(CURDIR)/$(BUILD) $(PYTHON) tests/triton_server/check_server.py --asan $(ASAN)

# One op under Nsight Compute, into out/OP.ncu-rep: make profile OP=linear SHAPE=1024,3072 LENGTHS=938,938
profile:
	@test -n "$(OP)" || { $(PYTHON) bench/try.py; echo "make profile OP=one of these [SHAPE=...] [LENGTHS=...]"; exit 1; }
	@command -v ncu > /dev/null || { echo "ncu, NVIDIA Nsight Compute, is not here: it comes with the CUDA toolkit"; exit 1; }
	@mkdir -p out
	F5_TEST_LIBRARY=$$(tests/gpu/build_ops.sh) ncu --set full --import-source yes -f -o out/$(OP) \
	    $(PYTHON) bench/try.py $(OP) --check $(SHAPE:%=--shape %) $(LENGTHS:%=--lengths %)

# Repeats the README's measurements here: on the GPU, or one evaluation on the CPU if there is none.
# More of it: bench/f5bench.py --help
bench: build
	F5_BUILD=$(CURDIR)/$(BUILD) $(PYTHON) bench/f5bench.py

# Installs missing packages with apt; on other systems prints what is needed and continues.
define install_packages
	@if command -v dpkg-query > /dev/null; then \
	    missing=""; \
	    for p in $(1); do \
	        dpkg-query -W -f '$${Status}' $$p 2> /dev/null | grep -q '^install ok installed' || missing="$$missing $$p"; \
	    done; \
	    if [ -n "$$missing" ]; then \
	        echo "installing:$$missing"; \
	        { $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq \
	            --no-install-recommends $$missing > /dev/null; } || { echo "could not install:$$missing"; exit 1; }; \
	    fi; \
	else \
	    echo "not a Debian system; this needs the equivalents of: $(1)"; \
	fi
endef

demo-packages:
	$(call install_packages,$(PACKAGES) $(if $(DEMO_ARCH),$(DEMO_PACKAGES)))

test-packages:
	$(call install_packages,$(PACKAGES) $(TEST_PACKAGES))

format:
	clang-format -i $$(git ls-files '*.c' '*.h' '*.cu' '*.cuh')

clean:
	rm -rf $(BUILD) $(ASAN) $(TSAN) $(BUILD).log $(ASAN).log $(TSAN).log out
