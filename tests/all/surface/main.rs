//! What the program shows to others, and the rules that keep its parts apart.

mod component;
