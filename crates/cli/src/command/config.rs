//! `lovage config`.

use crate::config::Settings;
use crate::exit::Exit;
use crate::view::out;

pub(crate) fn check(_: &Settings) -> Result<(), Exit> {
    out::print("the settings are good")
}

pub(crate) fn show(settings: &Settings) -> Result<(), Exit> {
    out::print(settings.show())
}
