//! What a config may ask for.

use wirelet_abi::{Error, ErrorCode, limits};

use super::ApplianceConfig;

/// # Errors
/// `WIRELET_E_CONFIG_LIMIT` for more, or less, than there may be; `WIRELET_E_CONFIG_UNKNOWN_PORT`.
pub(super) fn limits(config: &ApplianceConfig) -> Result<(), Error> {
    // Per lcore: a burst that comes in while one goes out, and what other caches may hold back.
    let frames_min = config.lcores.len() * (2 * config.burst + 640);
    let frames_min = frames_min.saturating_sub(640);
    let checks = [
        ("lcores", config.lcores.len(), 1, limits::LCORES_MAX),
        ("ports", config.ports.len(), 1, limits::PORTS_MAX),
        ("programs", config.programs.len(), 0, limits::PROGRAMS_MAX),
        ("packets per burst", config.burst, 1, limits::BURST_MAX),
        ("frames", config.region.frames, frames_min, usize::MAX),
    ];
    for (what, count, min, max) in checks {
        if count < min || count > max {
            let message = format!("{count} {what}; the limits are {min} and {max}");
            return Err(Error::new(ErrorCode::ConfigLimit, message));
        }
    }
    for port in &config.ports {
        let programs = port.pipeline.iter().all(|&program| program < config.programs.len());
        if !programs || port.pipeline.len() > limits::PIPELINE_PROGRAMS_MAX {
            let message = format!("{}: a pipeline of {:?}", port.name, port.pipeline);
            return Err(Error::new(ErrorCode::ConfigLimit, message));
        }
        for other in [port.forward, port.punt].into_iter().flatten() {
            if usize::from(other) >= config.ports.len() {
                let message = format!("{}: there is no port {other}", port.name);
                return Err(Error::new(ErrorCode::ConfigUnknownPort, message));
            }
        }
    }
    Ok(())
}
