//! Every gate's page shows it at work, in lines that a policy file may hold.

use locum_policy::{Policy, Settings, gates};

#[derive(serde::Deserialize)]
struct File {
    policies: std::collections::BTreeMap<String, Settings>,
}

#[test]
fn the_examples_of_every_page_are_policies() {
    for gate in gates::ALL {
        let examples: Vec<_> = gate
            .docs
            .split("```toml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .collect();
        assert!(!examples.is_empty(), "{} shows no example", gate.name);
        for example in examples {
            let file: File = toml::from_str(example)
                .unwrap_or_else(|error| panic!("{}: {error}\n{example}", gate.name));
            for (name, settings) in file.policies {
                Policy::build(&name, &settings, 1, None)
                    .unwrap_or_else(|error| panic!("{}: {error}", gate.name));
            }
        }
        let title = format!("# `{}`: ", gate.name);
        assert!(gate.docs.starts_with(&title), "{} begins otherwise", gate.name);
    }
}
