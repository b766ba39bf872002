use local::build;
use tests::{run, shared};

/// Otherwise `cargo dev` would need a C++ compiler, for libFuzzer.
#[test]
fn the_functions_are_built_and_the_fuzz_targets_are_not() {
    run(async {
        let shared = shared().await;
        let binaries = build::binaries(&shared.workspace).expect("the functions are built");
        for function in &shared.template.functions {
            assert!(binaries.contains_key(&function.name), "{}", function.name);
        }
        let fuzz: Vec<_> = binaries
            .keys()
            .filter(|name| name.starts_with("fuzz"))
            .collect();
        assert!(fuzz.is_empty(), "{fuzz:?}");
    });
}
