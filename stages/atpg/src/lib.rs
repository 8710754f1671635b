//! Stage 'atpg' of the shipped flow
