use std::{fs, path::Path};
use tests::story;

/// Where tests are.
const ROOMS: [&str; 4] = ["functions", "local", "shared", "tests"];

#[test]
fn tests_and_files_in_the_page_on_security_exist() {
    story(async |app| {
        let root = &app.shared.workspace.root;
        let page = fs::read_to_string(root.join("docs/SECURITY.md")).expect("the page is there");
        let mut sources = String::new();
        for room in ROOMS {
            read_sources(&root.join(room), &mut sources);
        }

        let quoted: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
        let is_test = |name: &&&str| {
            name.matches('_').count() >= 2
                && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        };
        let tests: Vec<&&str> = quoted.iter().filter(is_test).collect();
        assert!(tests.len() > 30, "the tests are found: {tests:?}");
        for test in tests {
            assert!(
                sources.contains(&format!("fn {test}()")),
                "there is no test {test}"
            );
        }
        let is_file = |name: &&&str| name.contains('/') && !name.contains([' ', '{', '*']);
        for file in quoted.iter().filter(is_file) {
            assert!(root.join(file).exists(), "there is no {file}");
        }
    });
}

fn read_sources(directory: &Path, sources: &mut String) {
    let entries = fs::read_dir(directory).expect("a directory of sources");
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            read_sources(&path, sources);
        } else if is_rust(&path) {
            sources.push_str(&fs::read_to_string(&path).expect("a source is text"));
        }
    }
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}
