//! The migrations are compiled in; without this a new file in their folder would go unseen.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
