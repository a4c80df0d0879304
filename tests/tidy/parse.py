# SPDX-License-Identifier: Apache-2.0
"""What libclang (python3-clang) says of one file: whether a header compiles alone, and how many data
members its classes have."""

import os
import re

import clang.cindex
from clang.cindex import CursorKind

MEMBERS_MAX = 20
# In the comment above a class that has more of them: "Many members: <the reason>."
REASON = re.compile(r"\bMany members: \S")
# Classes with more of them that are about to be taken apart; one that is not needed any more is an error.
WAITING = set()

RECORDS = {CursorKind.CLASS_DECL, CursorKind.STRUCT_DECL, CursorKind.CLASS_TEMPLATE}
SCOPES = RECORDS | {CursorKind.NAMESPACE, CursorKind.UNEXPOSED_DECL, CursorKind.LINKAGE_SPEC}
BEHAVIOUR = {CursorKind.CXX_METHOD, CursorKind.FUNCTION_TEMPLATE, CursorKind.DESTRUCTOR}
MAY_DEFINE_CLASS = re.compile(r"^\s*(class|struct)\b", re.MULTILINE)


def classes_in(cursor, names):
    """Definitions of classes in a file, which has one of these names."""
    for child in cursor.get_children():
        if child.kind not in SCOPES or child.location.file is None or child.location.file.name not in names:
            continue
        if child.kind in RECORDS and child.is_definition():
            yield child
        yield from classes_in(child, names)


def is_plain(record):
    """Data without behaviour, such as the options of a command: it may be as long as its subject is.
    Operators, such as ==, are no behaviour."""
    return not any(child.kind in BEHAVIOUR and not child.spelling.startswith("operator")
                   for child in record.get_children())


def comment_above(record, lines):
    """The // lines right above a class, and above what stands on its line."""
    line = record.extent.start.line - 1
    first = line
    while first > 0 and lines[first - 1].lstrip().startswith("//"):
        first -= 1
    return " ".join(text.strip().lstrip("/") for text in lines[first:line])


def member_errors(unit, path, text):
    lines = text.splitlines()
    for record in classes_in(unit.cursor, {path, os.path.abspath(path)}):
        members = sum(child.kind == CursorKind.FIELD_DECL for child in record.get_children())
        waiting = record.spelling in WAITING
        allowed = is_plain(record) or REASON.search(comment_above(record, lines))
        if members > MEMBERS_MAX and not allowed and not waiting:
            yield (f"{path}:{record.location.line}: {record.spelling} has {members} data members, at "
                   f"most {MEMBERS_MAX} are allowed without \"Many members: <reason>\" above it")
        if waiting and members <= MEMBERS_MAX:
            yield f"tests/tidy/parse.py: {record.spelling} is in WAITING, but need not be"


def errors_in_file(path, arguments, text):
    """`path`: a header or source, relative to the root of the repository, which is the working directory;
    `arguments`: of its compilation, without the file itself. A header is compiled as a file that includes
    nothing else, a source without its functions' bodies: that it compiles is for the compiler to say."""
    header = path.endswith(".h")
    if not header and not MAY_DEFINE_CLASS.search(text):
        return
    main = path.removesuffix(".h") + "_alone.cpp" if header else path
    unsaved = [(main, f'#include "{path.removeprefix("src/")}"\n')] if header else None
    options = 0 if header else clang.cindex.TranslationUnit.PARSE_SKIP_FUNCTION_BODIES
    unit = clang.cindex.Index.create().parse(main, arguments, unsaved, options)
    if header:
        yield from (f"{path} alone: {diagnostic}" for diagnostic in unit.diagnostics
                    if diagnostic.severity >= clang.cindex.Diagnostic.Warning)
    yield from member_errors(unit, path, text)
