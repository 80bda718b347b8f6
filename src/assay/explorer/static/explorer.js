// Small things of all pages. Every page works without it.
"use strict";
