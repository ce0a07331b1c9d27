//! Capture files: written and read back, damaged, and 830 that nobody here made.

mod corpus;
mod damage;
mod foreign;
mod round_trips;
