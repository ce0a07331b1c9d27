//! Capture files: written and read back, damaged, 830 that nobody here made, and what the
//! generator makes.

mod corpus;
mod damage;
mod foreign;
mod generated;
mod round_trips;
