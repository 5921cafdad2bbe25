"""The life of one step's credentials, in order: the only module that knows the order."""

from __future__ import annotations

from stepcreds.deliver import check_names, deliver
from stepcreds.deliver.files import PrivateFolder
from stepcreds.errors import ProcessError, StepcredsError
from stepcreds.identity import obtain
