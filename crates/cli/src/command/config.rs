//! `lovage config`.

use crate::config::Settings;
use crate::exit::Exit;

pub(crate) fn check(_: &Settings) -> Result<(), Exit> {
    println!("the settings are good");
    Ok(())
}

pub(crate) fn show(settings: &Settings) -> Result<(), Exit> {
    print!("{}", settings.show());
    Ok(())
}
