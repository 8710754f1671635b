//! Stage 'liberty' of the shipped flow
