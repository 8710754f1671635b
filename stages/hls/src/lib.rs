//! Stage 'hls' of the shipped flow
