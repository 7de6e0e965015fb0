/** Mocha's spec reporter with the closing line that CI reads. */
const { Spec } = require('mocha').reporters;

module.exports = class ClosingLine extends Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures, pending } = this.stats;
    const skipped = pending > 0 ? `, ${pending} skipped` : '';
    console.log(`${passes} passed, ${failures} failed${skipped}`);
  }
};
