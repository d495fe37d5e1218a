//! `siaran check`: what this box has and what it lacks, each fault with a sentence on what to do.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use crate::base::clock;
use crate::base::config::Config;
use crate::base::terms::Content;
use crate::broadcast::calibration::{self, EncoderSpeed};
use crate::library::Library;
use crate::library::layout::Layout;
use crate::library::space::seconds_of;
use crate::media::camera::{self, Wanted};
use crate::media::protocol::{
    AudioInput, Capture, Device, DeviceFormat, DeviceKind, ErrorCode, FromWorker, Task, VideoInput,
};
use crate::media::rungs::{self, Rung};
use crate::store::db::{self, Db};
use crate::worker::process::ask;

/// Devices are listed within this, also where plugins must be looked for first.
const DEVICES_PATIENCE: Duration = Duration::from_secs(15);
/// A camera is opened and looked through within this.
const CAMERA_PATIENCE: Duration = Duration::from_secs(30);
/// What is looked at of it, 90 kHz ticks: some groups of pictures.
const CAMERA_TRIAL: u32 = 12 * clock::TIMESCALE;
/// Frames per second at which 720p30 leaves room for everything else.
const COMFORTABLE_FPS: f32 = 60.0;
/// Frames per second below which 720p30 cannot be encoded at all.
const NEEDED_FPS: f32 = 33.0;
/// Bytes written to see how fast the disk is.
const TRIAL: usize = 8 << 20;
/// Room below which it is time to do something, seconds of recording.
const LITTLE_ROOM_S: u64 = 3600;

#[derive(Debug, clap::Args)]
pub struct Flags {
    /// Directory of the whole state
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// The same as JSON
    #[arg(long)]
    pub json: bool,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Weight {
    /// Broadcasting does not work like this.
    Fault,
    /// It works, but not as well as it could.
    Advice,
}

/// A fault and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
struct Finding {
    weight: Weight,
    code: &'static str,
    text: String,
}

struct Report {
    devices: Vec<Device>,
    encoders: Vec<EncoderSpeed>,
    disk: Result<Disk, String>,
    clock: Clock,
    findings: Vec<Finding>,
}

#[derive(Debug, Clone, Copy)]
struct Disk {
    total: u64,
    free: u64,
    /// Bytes per second that reach the disk, `fdatasync` included.
    write_speed: u64,
    /// Seconds that can be recorded, by the settings' defaults, before anything has to be deleted.
    room_s: u64,
}

#[derive(Debug, Clone)]
struct Clock {
    now: String,
    plausible: bool,
    synchronised: bool,
}

/// Exit 0 when this box can broadcast, 1 when a fault keeps it from that.
pub fn run(data: &Path, as_json: bool) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("siaran check: {error}");
            return ExitCode::FAILURE;
        }
    };
    let report = runtime.block_on(look(data));
    let text = if as_json { format!("{:#}\n", report.json()) } else { report.text() };
    // Whoever reads it may have seen enough.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    if report.findings.iter().any(|finding| finding.weight == Weight::Fault) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

async fn look(data: &Path) -> Report {
    let devices = ask(Task::Devices, DEVICES_PATIENCE, |message| match message {
        FromWorker::Devices(devices) => Some(devices),
        _ => None,
    });
    let devices = devices.await;
    let cameras = devices.iter().flatten().filter(|device| device.gives_h264);
    let mut refusals = Vec::new();
    for camera in cameras {
        refusals.extend(try_own_h264(camera).await);
    }
    let encoders = calibration::time_encoders().await;
    let mut findings = Vec::new();
    if devices.is_none() {
        findings.push(fault("worker", "GStreamer could not be started. Are its packages installed? Run `make deps`."));
    }
    let devices = devices.unwrap_or_default();
    let (disk, clock) = (look_at_disk(data), look_at_clock());
    judge_devices(&devices, &mut findings);
    findings.extend(refusals);
    judge_encoders(&encoders, &mut findings);
    judge_left_out(data, &encoders, &mut findings).await;
    judge_graphics(Path::new("/dev/dri"), &encoders, &mut findings);
    judge_disk(data, &disk, &mut findings);
    judge_clock(&clock, &mut findings);
    Report { devices, encoders, disk, clock, findings }
}

fn fault(code: &'static str, text: impl Into<String>) -> Finding {
    Finding { weight: Weight::Fault, code, text: text.into() }
}

fn advice(code: &'static str, text: impl Into<String>) -> Finding {
    Finding { weight: Weight::Advice, code, text: text.into() }
}

/// Looks through a camera that gives H.264 for a while, as a broadcast would, and says why it cannot be passed through.
async fn try_own_h264(camera: &Device) -> Option<Finding> {
    let wanted = Wanted { width: 1280, height: 720, frame_rate: 30 };
    camera::to_pass_through(&camera.formats, wanted)?;
    let task = Task::Capture(Capture {
        video: VideoInput::EncodingCamera(camera.id.clone()),
        audio: AudioInput::Silence,
        rungs: vec![Rung { width: wanted.width, height: wanted.height, kbps: 2500 }],
        content: Content::Talk,
        frame_rate: wanted.frame_rate,
        part_ms: 200,
    });
    let mut seen = 0;
    let refusal = ask(task, CAMERA_PATIENCE, |message| match message {
        FromWorker::Error { code: ErrorCode::EncodedAnew | ErrorCode::CameraUnavailable, message, .. } => {
            Some(Some(message))
        }
        FromWorker::Part(part) => {
            seen += part.duration;
            (seen > CAMERA_TRIAL).then_some(None)
        }
        _ => None,
    });
    let text = format!(
        "{}: {} Other programs may have to be closed, or its keyframes set to one a second with its maker's tool.",
        camera.label,
        refusal.await.flatten()?
    );
    Some(advice("camera_h264_not_used", text))
}

fn judge_devices(devices: &[Device], findings: &mut Vec<Finding>) {
    let has = |kind| devices.iter().any(|device| device.kind == kind);
    if !has(DeviceKind::Camera) {
        findings.push(advice(
            "no_camera",
            "No camera was found. Plug one in; if it is, another program may hold it, or this user may not open it \
             (sudo usermod -aG video,audio $USER, then sign in anew). The test pattern and RTMP work without one.",
        ));
    }
    if !has(DeviceKind::Microphone) {
        findings.push(advice("no_microphone", "No microphone was found: a camera's broadcast would be silent."));
    }
}

fn judge_encoders(encoders: &[EncoderSpeed], findings: &mut Vec<Finding>) {
    let best = encoders.iter().filter_map(|encoder| encoder.frames_per_second.clone().ok()).fold(0.0, f32::max);
    if best == 0.0 {
        findings.push(fault("no_encoder", "No H.264 encoder works. Install gstreamer1.0-plugins-ugly (x264enc)."));
    } else if best < NEEDED_FPS {
        let text = format!(
            "The best encoder makes {best:.0} frames a second at 1280x720, too few for 30. Use --video-height 480 or \
             --frame-rate 15."
        );
        findings.push(fault("encoder_too_slow", text));
    } else if best < COMFORTABLE_FPS {
        let text = format!(
            "The best encoder makes {best:.0} frames a second at 1280x720: enough for 30, with little to spare. If \
             pictures are dropped, use --video-height 480."
        );
        findings.push(advice("encoder_slow", text));
    }
}

/// What starts leave out has just been tried again: is it still to be?
async fn judge_left_out(data: &Path, encoders: &[EncoderSpeed], findings: &mut Vec<Finding>) {
    // Where there is no database, nothing was ever tried.
    if !data.join(db::FILE_NAME).exists() {
        return;
    }
    // What is wrong with the data, `serve` and `fsck` tell.
    let Ok(layout) = Layout::open(data) else { return };
    let Ok(db) = Db::open(&layout.database()) else { return };
    let library = Library::new(db, layout, &Config::with_data(data.to_owned()));
    let before = calibration::left_out(&library).await;
    let mut still = BTreeSet::new();
    for encoder in encoders.iter().filter(|encoder| before.contains(encoder.name)) {
        let name = encoder.name;
        findings.push(match &encoder.frames_per_second {
            Ok(_) => advice("encoder_back", format!("{name} works again: siaran tries it from its next start on.")),
            Err(reason) => {
                still.insert(name.to_owned());
                advice(
                    "encoder_left_out",
                    format!(
                        "{name} kept a start waiting, and was tried again now: {reason}. So siaran does without it. Update the \
                         system and the driver, then run `siaran check` once more."
                    ),
                )
            }
        });
    }
    if still != before
        && let Err(error) = calibration::keep_left_out(&library, still).await
    {
        findings.push(advice("encoder_not_noted", format!("It cannot be noted which encoders work: {error}.")));
    }
}

/// A graphics processor (a render node in `folder`) that could encode and does not.
fn judge_graphics(folder: &Path, encoders: &[EncoderSpeed], findings: &mut Vec<Finding>) {
    let is_render_node = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("renderD"))
    };
    let there = std::fs::read_dir(folder).is_ok_and(|mut folder| folder.any(is_render_node));
    if there && !encoders.iter().any(|encoder| encoder.name.starts_with("va") && encoder.frames_per_second.is_ok()) {
        findings.push(advice(
            "graphics_not_used",
            "This machine has a graphics processor that siaran does not encode with. Many can: install its VA-API driver \
             (intel-media-va-driver or mesa-va-drivers) and let this user use it (sudo usermod -aG render $USER, then sign \
             in anew).",
        ));
    }
}

fn judge_disk(data: &Path, disk: &Result<Disk, String>, findings: &mut Vec<Finding>) {
    match disk {
        Err(error) => {
            let text = format!(
                "{} cannot be written ({error}). Give it to this user, or choose another with --data.",
                data.display()
            );
            findings.push(fault("disk_not_writable", text));
        }
        Ok(disk) if disk.room_s < LITTLE_ROOM_S => findings.push(advice(
            "disk_nearly_full",
            format!(
                "There is room for {} minutes of recording. Delete recordings, unpin old ones, or use a larger disk.",
                disk.room_s / 60
            ),
        )),
        Ok(disk) if disk.write_speed < 2_000_000 => findings.push(advice(
            "disk_slow",
            "The disk writes less than 2 MB a second. An SSD on USB 3 costs little and wears less than an SD card.",
        )),
        Ok(_) => {}
    }
}

fn judge_clock(clock: &Clock, findings: &mut Vec<Finding>) {
    if !clock.plausible {
        let text =
            format!("The clock says {}. Set it (sudo date -s …), or let the box reach a time server.", clock.now);
        findings.push(advice("clock_wrong", text));
    } else if !clock.synchronised {
        findings.push(advice(
            "clock_not_synchronised",
            "No time server has set the clock (sudo apt install systemd-timesyncd): dates of recordings may be off.",
        ));
    }
}

fn look_at_disk(data: &Path) -> Result<Disk, String> {
    // The directory may not exist yet: what counts is where it would be made.
    let existing: PathBuf = data.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_owned();
    let stat = rustix::fs::statvfs(&existing).map_err(|error| error.to_string())?;
    let (total, free) = (stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize);
    let config = Config::with_data(existing.clone());
    let room_s = seconds_of(free.saturating_sub(config.min_free_bytes), rungs::planned_bitrate(&config));
    let trial = existing.join(format!(".siaran-check-{}", crate::base::ids::public_id()));
    let speed = write_trial(&trial);
    let _ = std::fs::remove_file(&trial);
    let write_speed = speed.map_err(|error| error.to_string())?;
    Ok(Disk { total, free, write_speed, room_s })
}

fn write_trial(path: &Path) -> std::io::Result<u64> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    let started = clock::instant();
    file.write_all(&vec![0x5a; TRIAL])?;
    file.sync_data()?;
    Ok((TRIAL as f64 / started.elapsed().as_secs_f64().max(1e-6)) as u64)
}

fn look_at_clock() -> Clock {
    let now = clock::wall_ms();
    Clock {
        now: clock::rfc3339(now),
        plausible: (clock::EARLIEST_MS..clock::LATEST_MS).contains(&now),
        synchronised: clock::synchronised(),
    }
}

impl Report {
    fn of_kind(&self, kind: DeviceKind) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(move |device| device.kind == kind)
    }

    fn json(&self) -> Value {
        let device = |device: &Device| {
            json!({
                "id": device.source_id(),
                "label": device.label,
                "gives_h264": device.gives_h264,
                "formats": device.formats.iter().map(format_text).collect::<Vec<_>>(),
            })
        };
        let encoder = |encoder: &EncoderSpeed| match &encoder.frames_per_second {
            Ok(speed) => json!({ "name": encoder.name, "frames_per_second_720p": speed }),
            Err(reason) => json!({ "name": encoder.name, "error": reason }),
        };
        json!({
            "cameras": self.of_kind(DeviceKind::Camera).map(device).collect::<Vec<_>>(),
            "microphones": self.of_kind(DeviceKind::Microphone).map(device).collect::<Vec<_>>(),
            "encoders": self.encoders.iter().map(encoder).collect::<Vec<_>>(),
            "disk": match &self.disk {
                Ok(disk) => json!({ "total": disk.total, "free": disk.free, "write_bytes_per_second": disk.write_speed, "room_s": disk.room_s }),
                Err(error) => json!({ "error": error }),
            },
            "clock": {
                "now": self.clock.now, "plausible": self.clock.plausible, "synchronised": self.clock.synchronised,
            },
            "findings": self.findings,
        })
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        for (title, kind) in [("Cameras", DeviceKind::Camera), ("Microphones", DeviceKind::Microphone)] {
            lines.push(title.to_owned());
            let mut any = false;
            for device in self.of_kind(kind) {
                any = true;
                let formats: Vec<String> = device.formats.iter().take(6).map(format_text).collect();
                let encoding = if device.gives_h264 { ", gives H.264" } else { "" };
                lines.push(format!("  {}{encoding}  {}", device.label, formats.join(", ")));
            }
            if !any {
                lines.push(String::from("  none"));
            }
        }
        lines.push(String::from("Encoders, frames a second at 1280x720"));
        lines.extend(self.encoders.iter().map(|encoder| match &encoder.frames_per_second {
            Ok(speed) => format!("  {:<14} {speed:.0}", encoder.name),
            Err(reason) => format!("  {:<14} {reason}", encoder.name),
        }));
        lines.push(match &self.disk {
            Ok(disk) => format!(
                "Disk\n  {:.1} GB free of {:.1} GB, room for {:.1} hours, writes {:.0} MB a second",
                disk.free as f64 / 1e9,
                disk.total as f64 / 1e9,
                disk.room_s as f64 / 3600.0,
                disk.write_speed as f64 / 1e6
            ),
            Err(error) => format!("Disk\n  {error}"),
        });
        lines.push(format!("Clock\n  {}", self.clock.now));
        if self.findings.is_empty() {
            lines.push(String::from("\nAll well."));
        } else {
            lines.push(String::from("\nWhat to do"));
            lines.extend(self.findings.iter().map(|finding| format!("  - {}", finding.text)));
        }
        lines.join("\n") + "\n"
    }
}

fn format_text(format: &DeviceFormat) -> String {
    format!("{}x{} {}/s {}", format.width, format.height, format.frame_rate, format.encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(findings: &[Finding]) -> Vec<&'static str> {
        findings.iter().map(|finding| finding.code).collect()
    }

    fn encoder(frames_per_second: Result<f32, String>) -> Vec<EncoderSpeed> {
        vec![EncoderSpeed { name: "x264enc", frames_per_second }]
    }

    #[test]
    fn each_fault_has_its_sentence() {
        let judged = |encoders: &[EncoderSpeed]| {
            let mut findings = Vec::new();
            judge_encoders(encoders, &mut findings);
            codes(&findings)
        };
        assert_eq!(judged(&[]), ["no_encoder"]);
        assert_eq!(judged(&encoder(Err(String::from("not installed")))), ["no_encoder"]);
        assert_eq!(judged(&encoder(Ok(20.0))), ["encoder_too_slow"]);
        assert_eq!(judged(&encoder(Ok(45.0))), ["encoder_slow"]);
        assert!(judged(&encoder(Ok(90.0))).is_empty());

        let graphics = tempfile::tempdir().unwrap();
        let judged = |name: &'static str| {
            let mut findings = Vec::new();
            let encoders = [EncoderSpeed { name, frames_per_second: Ok(90.0) }];
            judge_graphics(graphics.path(), &encoders, &mut findings);
            codes(&findings)
        };
        assert!(judged("x264enc").is_empty());
        std::fs::write(graphics.path().join("renderD128"), "").unwrap();
        assert_eq!(judged("x264enc"), ["graphics_not_used"]);
        assert!(judged("vah264enc").is_empty());

        let mut findings = Vec::new();
        judge_devices(&[], &mut findings);
        assert_eq!(codes(&findings), ["no_camera", "no_microphone"]);
        let mut findings = Vec::new();
        let clock = Clock { now: String::from("1970-01-01T00:00:00.000Z"), plausible: false, synchronised: false };
        judge_clock(&clock, &mut findings);
        assert_eq!(codes(&findings), ["clock_wrong"]);
    }

    #[test]
    fn the_disk_is_tried_where_the_data_will_be() {
        let folder = tempfile::tempdir().unwrap();
        let disk = look_at_disk(&folder.path().join("not/yet/there")).unwrap();
        assert!(disk.total >= disk.free && disk.write_speed > 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }
}
