//! What a shell and `man` are told of the command line.

use clap::CommandFactory as _;

use crate::args::Args;
use crate::print::out;
use crate::{Failure, args};

/// `locum completions`.
pub(crate) fn completions(args: &args::Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "locum", &mut script);
    out(&String::from_utf8_lossy(&script))
}

/// `locum man`: one page, on which every command has a section.
pub(crate) fn man() -> Result<(), Failure> {
    let mut command = Args::command();
    command.build();
    let mut page = Vec::new();
    let write = |error| Failure::Failed(format!("cannot write the page: {error}"));
    clap_mangen::Man::new(command.clone()).render(&mut page).map_err(write)?;
    let of_each = command.get_subcommands().filter(|command| !command.is_hide_set());
    for command in of_each.filter(|command| command.get_name() != "help") {
        let man = clap_mangen::Man::new(command.clone());
        let heading = format!(".SH \"COMMAND {}\"\n", command.get_name().to_uppercase());
        page.extend_from_slice(heading.as_bytes());
        let mut section = Vec::new();
        man.render_synopsis_section(&mut section).map_err(write)?;
        man.render_description_section(&mut section).map_err(write)?;
        man.render_options_section(&mut section).map_err(write)?;
        // Its sections are parts of this one.
        page.extend_from_slice(
            String::from_utf8_lossy(&section).replace(".SH ", ".SS ").as_bytes(),
        );
    }
    out(&String::from_utf8_lossy(&page))
}
