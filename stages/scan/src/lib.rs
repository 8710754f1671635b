//! Stage 'scan' of the shipped flow
