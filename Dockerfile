# hoi_node for a robot with an NVIDIA GPU (x86-64; Jetson: see docs/operating.md).
#
#   docker build -t link_hoi .
#   docker run --rm --gpus all --network host --ipc host link_hoi \
#       ros2 launch link_hoi_ros hoi.launch.py image:=/camera/image_raw detections:=/detections
#
# The GPU needs the NVIDIA container toolkit on the host; CUDA itself comes with torch. Host's network
# and IPC, so that DDS finds the other nodes and images pass through shared memory.
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /workspace

# Only what the packages' manifests name, so that a change of the code keeps this layer.
COPY package.xml src/link_hoi/
COPY link_hoi_msgs/package.xml src/link_hoi/link_hoi_msgs/
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip \
    && rosdep update --rosdistro "$ROS_DISTRO" \
    && rosdep install --from-paths src/link_hoi src/link_hoi/link_hoi_msgs --ignore-src -y \
    && rm -rf /var/lib/apt/lists/*

# What else models and detectors need, for instance "onnxruntime-gpu" or "open_clip_torch".
ARG PACKAGES=""
# ROS is compiled against the distribution's NumPy, which must stay.
RUN pip install --break-system-packages --no-cache-dir \
    "numpy==$(python3 -c 'import numpy; print(numpy.__version__)')" torch safetensors $PACKAGES

COPY . src/link_hoi
RUN . "/opt/ros/$ROS_DISTRO/setup.bash" \
    && colcon build --merge-install --base-paths src/link_hoi src/link_hoi/link_hoi_msgs \
    && rm -rf build log

# The second name is that of Humble and Jazzy.
ENV FASTDDS_DEFAULT_PROFILES_FILE=/workspace/install/share/link_hoi_ros/config/fastdds.xml
ENV FASTRTPS_DEFAULT_PROFILES_FILE=$FASTDDS_DEFAULT_PROFILES_FILE

# Nothing here needs root. Shared memory with nodes of the host needs their user: --build-arg UID=…
ARG UID=1001
RUN useradd --create-home --non-unique --uid "$UID" robot
USER robot
ENTRYPOINT ["/bin/bash", "-c", ". /workspace/install/setup.bash && exec \"$@\"", "--"]
CMD ["ros2", "launch", "link_hoi_ros", "hoi.launch.py"]
