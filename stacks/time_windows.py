"""Windows of time, UTC, in which AWS takes backups and patches: how long they are, and whether they meet."""

import re

DAY = 24 * 60
_WEEK = 7 * DAY
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAILY = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_WEEKLY = re.compile(rf"({'|'.join(_DAYS)}):(\d\d):(\d\d)-({'|'.join(_DAYS)}):(\d\d):(\d\d)", re.ASCII)
# Longer than that is most probably one whose ends were exchanged.
MOST_MINUTES_DAILY = 12 * 60
MOST_MINUTES_WEEKLY = DAY


def daily(text: str) -> tuple[int, int]:
    """Start, in minutes of the day, and length in minutes of ``hh:mm-hh:mm``, which may reach over midnight.

    :raises ValueError: for text of another form, and for a window that is longer than 12 hours
    """
    if not (found := _DAILY.fullmatch(text)):
        raise ValueError("it has another form")
    start, end = _minutes(found[1], found[2]), _minutes(found[3], found[4])
    return start, _length(start, end, DAY, MOST_MINUTES_DAILY)


def weekly(text: str) -> tuple[int, int]:
    """Start, in minutes of the week, and length in minutes of ``ddd:hh:mm-ddd:hh:mm``.

    :raises ValueError: for text of another form, and for a window that is longer than 24 hours
    """
    if not (found := _WEEKLY.fullmatch(text)):
        raise ValueError("it has another form")
    start = _DAYS.index(found[1]) * DAY + _minutes(found[2], found[3])
    end = _DAYS.index(found[4]) * DAY + _minutes(found[5], found[6])
    return start, _length(start, end, _WEEK, MOST_MINUTES_WEEKLY)


def _minutes(hours: str, minutes: str) -> int:
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError(f"there is no time {hours}:{minutes}")
    return int(hours) * 60 + int(minutes)


def _length(start: int, end: int, period: int, most: int) -> int:
    length = (end - start) % period
    if length > most:
        raise ValueError(
            f"it lasts {length // 60} h {length % 60} min, perhaps because its ends are exchanged; "
            f"at most {most // 60} h are allowed"
        )
    return length


def meet(daily_window: str, weekly_window: str) -> bool:
    """Whether a daily and a weekly window overlap on any day. Windows that only touch do not."""
    return _meet(*daily(daily_window), *weekly(weekly_window))


def _meet(start_of_day: int, daily_minutes: int, start: int, minutes: int) -> bool:
    starts = (day * DAY + start_of_day for day in range(7))
    return any((start - s) % _WEEK < daily_minutes or (s - start) % _WEEK < minutes for s in starts)


def clear_hour(daily_window: str, weekly_window: str) -> int | None:
    """The first hour of the day, from four hours after the daily window on, that is more than an hour away from both.

    AWS Backup "cannot start backups 1 hour before or during" the windows of a database, and a window that AWS overruns
    has an hour as well. None: the windows leave no such hour.
    """
    start, minutes = daily(daily_window)
    first = -(-(start + minutes) // 60) + 4
    for hour in range(first, first + 24):
        around, length = hour * 60 - 61, 2 * 61
        weekdays = (day * DAY + start for day in range(7))
        if not _meet(around, length, *weekly(weekly_window)) and not any(
            _meet(around, length, weekday, minutes) for weekday in weekdays
        ):
            return hour % 24
    return None
