//! Stage 'pdk' of the shipped flow
