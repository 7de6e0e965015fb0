/** Tests for harness.test.ts to run in a guest. */

import { expect } from 'chai';

describe('a suite in the guest', function () {
  it('runs in the guest', function () {
    expect(process.env.STACKGLUE_GUEST).to.equal('1');
    expect(process.env.STACKGLUE_NODE_ID).to.equal('1');
  });

  describe('with a suite in it', function () {
    it('knows options', function () {
      expect(process.env.GREETING).to.equal("it's me");
    });
  });
});

describe('a suite of equal titles', function () {
  it('twice', function () {
    expect(1).to.equal(1);
  });

  it('twice', function () {
    expect(2).to.equal(2);
  });
});
