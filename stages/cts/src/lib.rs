//! Stage 'cts' of the shipped flow
