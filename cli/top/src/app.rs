//! What the user sees of what is known: which view, and whether it stands still.

use crate::draw::{Screen, View};
use crate::keys::Key;
use crate::look::Look;
use crate::model::Model;
use hanja_record::StageName;

/// What is to be done after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing.
    Nothing,
    /// Draw what has changed.
    Draw,
    /// Draw everything, whatever is on the screen.
    Repaint,
    /// Let the shell have the terminal for a while.
    Suspend,
    /// End.
    Quit,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) model: Model,
    /// What is shown while it stands still, and as of when.
    held: Option<(Box<Model>, u64)>,
    view: View,
    /// Where help leads back to.
    before_help: View,
}

impl App {
    pub(crate) fn new(model: Model) -> Self {
        Self {
            model,
            held: None,
            view: View::All,
            before_help: View::All,
        }
    }

    pub(crate) fn view(&self) -> View {
        self.view
    }

    /// The picture as of now, or as of when it was held.
    pub(crate) fn screen<'a>(&'a self, now: u64, look: Look, place: &'a str) -> Screen<'a> {
        match &self.held {
            None => Screen::new(&self.model, now, look, place),
            Some((model, at)) => {
                let mut screen = Screen::new(model, *at, look, place);
                screen.paused = Some(now.saturating_sub(*at));
                screen
            }
        }
    }

    pub(crate) fn press(&mut self, key: Key, now: u64) -> Then {
        match key {
            // ㅂ and ㄱ: the same keys under a Korean layout.
            Key::Char('q' | 'Q' | 'ㅂ') | Key::Ctrl('c' | 'd' | '\\') => return Then::Quit,
            Key::Ctrl('z') => return Then::Suspend,
            Key::Ctrl('l') => return Then::Repaint,
            Key::Char(' ' | 'p') => {
                self.held = match self.held {
                    None => Some((Box::new(self.model.clone()), now)),
                    Some(_) => None,
                }
            }
            Key::Char('r' | 'R' | 'ㄱ') => {
                self.model.reset(now);
                self.held = None;
            }
            Key::Char('?' | 'h') => self.help(),
            Key::Char(digit @ '1'..='3') => {
                let name = StageName::ALL[digit as usize - '1' as usize];
                let view = View::Stage(name);
                self.view = if self.view == view { View::All } else { view };
            }
            Key::Tab => self.view = next(self.view, 1),
            Key::BackTab => self.view = next(self.view, 3),
            Key::Esc | Key::Back | Key::Char('0') => match self.view {
                View::Help => self.help(),
                _ => self.view = View::All,
            },
            _ => return Then::Nothing,
        }
        Then::Draw
    }

    fn help(&mut self) {
        if self.view == View::Help {
            self.view = self.before_help;
        } else {
            self.before_help = std::mem::replace(&mut self.view, View::Help);
        }
    }
}

/// All, capture, infer, render, and round again, `steps` further.
fn next(view: View, steps: usize) -> View {
    let at = match view {
        View::All | View::Help => 0,
        View::Stage(name) => name as usize,
    };
    match (at + steps) % 4 {
        0 => View::All,
        n => View::Stage(StageName::ALL[n - 1]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_what_the_help_says() {
        let mut app = App::new(Model::new(0));
        let infer = View::Stage(StageName::Infer);
        let mut press = |key| {
            let then = app.press(key, 5_000);
            (then, app.view(), app.held.is_some())
        };
        let draw = Then::Draw;
        assert_eq!(press(Key::Char('2')), (draw, infer, false));
        assert_eq!(press(Key::Char('?')), (draw, View::Help, false));
        assert_eq!(press(Key::Esc), (draw, infer, false));
        assert_eq!(press(Key::Char('2')), (draw, View::All, false));
        assert_eq!(press(Key::Char(' ')), (draw, View::All, true));
        assert_eq!(press(Key::Char(' ')), (draw, View::All, false));
        assert_eq!(press(Key::Char(' ')), (draw, View::All, true));
        assert_eq!(press(Key::Char('r')), (draw, View::All, false));
        for expected in [1, 2, 3] {
            let view = View::Stage(StageName::ALL[expected - 1]);
            assert_eq!(press(Key::Tab), (draw, view, false));
        }
        assert_eq!(press(Key::Tab), (draw, View::All, false));
        assert_eq!(press(Key::BackTab).1, View::Stage(StageName::Render));
        assert_eq!(press(Key::Char('x')).0, Then::Nothing);
        for key in [Key::Char('q'), Key::Char('ㅂ'), Key::Ctrl('c')] {
            assert_eq!(press(key).0, Then::Quit);
        }
        assert_eq!(press(Key::Ctrl('z')).0, Then::Suspend);
        assert_eq!(press(Key::Ctrl('l')).0, Then::Repaint);
    }
}
