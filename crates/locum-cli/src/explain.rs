//! `locum explain`: what would become of a request or a remote call, and why.

use locum_policy::gates::{self, Gate};
use locum_proxy::plan::Plan;
use serde_json::json;

use crate::config::Config;
use crate::print::out;
use crate::{Failure, args, demo};
use asked::Asked;

mod answer;
mod asked;
mod told;

/// `locum explain`.
pub(crate) fn run(args: &args::Explain) -> Result<(), Failure> {
    if let Some(name) = &args.docs {
        return docs(name);
    }
    let asked = Asked::parse(&args.request).map_err(Failure::Usage)?;
    let path = args.config.as_deref().expect("clap asks for it where there is no --docs");
    let config = Config::load(path)?;
    let settings = config.settings(demo::NOWHERE)?;
    let plan = Plan::build(settings, None).map_err(|error| config.failure(vec![error]))?;
    let answer = match &asked {
        Asked::Call(method) => {
            json!({ "call": method, "listeners": answer::to_call(&plan, method) })
        }
        Asked::Request(request) => json!({
            "method": request.method, "host": request.host, "path": request.path,
            "query": request.query,
            "listeners": answer::to_request(&plan, &request.question(&args.headers)),
        }),
    };
    out(&if args.json { format!("{answer:#}\n") } else { told::told(&answer) })
}

/// Prints the page of one gate, or the list of them.
fn docs(name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        let title = |gate: &Gate| {
            let line = gate.docs.lines().next().unwrap_or_default();
            format!("{}\n", line.trim_start_matches("# ").replace('`', ""))
        };
        return out(&gates::ALL.iter().map(title).collect::<String>());
    }
    match gates::ALL.iter().find(|gate| gate.name == name) {
        Some(gate) => out(gate.docs),
        None => {
            let known: Vec<_> = gates::ALL.iter().map(|gate| gate.name).collect();
            Err(Failure::Usage(format!(
                "there is no page `{name}`; write one of {}",
                known.join(", ")
            )))
        }
    }
}
